"""What a training sees: labeled and unlabeled images, their pixels, crops, batches and cached features."""
