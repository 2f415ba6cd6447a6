"""Galleries of all cases: cards as data, their thumbnails, and how a notebook and a page show them. Each step's cards
are made in report/gallery.py."""
