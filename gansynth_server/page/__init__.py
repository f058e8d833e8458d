"""The instrument in a browser: a process that serves a page, and a socket for its OSC."""
