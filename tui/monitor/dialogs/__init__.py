"""What opens in front of the monitor's tabs, one dialog a file."""
