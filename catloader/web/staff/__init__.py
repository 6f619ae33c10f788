"""Pages of reviewers and administrators. Other users get 404."""
