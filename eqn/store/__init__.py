"""Object stores behind one narrow interface; a commit is one `put_if_absent`."""
