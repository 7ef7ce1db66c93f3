"""What people open: vectors, tables, NetCDF, figures, animation, report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icefront.lazy import on_first_use

if TYPE_CHECKING:
    from icefront.products.animation import write_animation
    from icefront.products.folder import Products, make_products, write_products
    from icefront.products.measure_files import write_measures
    from icefront.products.netcdf import to_xarray, write_netcdf
    from icefront.products.report import write_report
    from icefront.products.review_pages import write_review
    from icefront.products.vectors import write_vectors

__all__ = [
    "Products",
    "make_products",
    "to_xarray",
    "write_animation",
    "write_measures",
    "write_netcdf",
    "write_products",
    "write_report",
    "write_review",
    "write_vectors",
]

__getattr__ = on_first_use(
    __name__,
    {
        "animation": ["write_animation"],
        "folder": ["Products", "make_products", "write_products"],
        "measure_files": ["write_measures"],
        "netcdf": ["to_xarray", "write_netcdf"],
        "report": ["write_report"],
        "review_pages": ["write_review"],
        "vectors": ["write_vectors"],
    },
)
