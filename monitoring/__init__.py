"""What watches Cerebrum: rules, alerts, their ways to people, and the faults they are for. Plain tables; `python -m monitoring` writes files from them."""
