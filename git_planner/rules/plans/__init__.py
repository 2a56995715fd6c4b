"""Plans: the document, its pages, and the three-way merge of two versions."""
