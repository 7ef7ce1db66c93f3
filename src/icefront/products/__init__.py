"""What people open: vectors, tables, NetCDF, figures, animation, report."""
