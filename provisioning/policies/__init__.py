"""IAM documents from the present teams, domains and role mappings: `facts` reads the rows, everything else is pure.

`documents.everything(facts, options)` gives them in an order that is always the same; the same rows and options give
the same text.
"""
