"""The command line `casreg`. One module for a group of commands; nothing else in casreg prints."""
