"""What watches Cerebrum: rules, the ways of alerts to people, and the faults they are for.

Plain tables; `python -m monitoring` writes files from them.
"""
