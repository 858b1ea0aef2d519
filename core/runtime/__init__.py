"""An open project, and the offline stacks that stand for a cloud."""
