"""What makes an image an Engine: manifest, signature, version rules, answers."""
