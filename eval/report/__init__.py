"""Renders an analysis or a comparison as HTML, Markdown, LaTeX and figures; computes nothing."""
