"""The built-in endpoint: speaks the five dialects, measures pixels, is no model."""
