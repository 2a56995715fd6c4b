"""Plans: the document, its pages, and the merge of two versions."""
