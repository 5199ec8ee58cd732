"""A library of models: which lie in the operator's folders, and what each of them is."""
