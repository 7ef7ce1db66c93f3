"""What all reports and pictures have in common.

`icefront.reporting.style` (colours, axes, figures), `icefront.reporting.scale_bar`,
`icefront.reporting.pictures` (figures and images as files, bytes and data URIs),
`icefront.reporting.tables` (tables as Markdown, HTML and on the terminal; numbers as text) and
`icefront.reporting.page` (HTML pages that need no other file).
"""
