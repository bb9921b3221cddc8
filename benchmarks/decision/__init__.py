"""What benchmarks/decision_rule.py is made of: worlds that draw launches, rules that judge them, and the tables."""
