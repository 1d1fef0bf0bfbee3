"""Words to tags: treebanks, vocabulary, the tagger's course, and a tagger as bytes."""
