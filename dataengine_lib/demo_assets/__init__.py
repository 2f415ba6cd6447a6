"""demo_assets."""
