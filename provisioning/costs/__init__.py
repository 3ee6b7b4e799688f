"""What running apps cost: prices, the ledger of hours, budgets, and what the pages tell of them."""
