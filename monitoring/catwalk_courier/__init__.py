"""The courier: keeps every notification of Alertmanager, shows and passes them on, and watches over the Watchdog."""
