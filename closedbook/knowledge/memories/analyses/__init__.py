"""The analyses of Geva et al. 2021 of a model's memories: measures, pages and sheets to label."""
