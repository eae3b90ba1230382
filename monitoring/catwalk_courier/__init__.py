"""The courier: stores every notification of Alertmanager, shows and forwards them, and watches the Watchdog."""
