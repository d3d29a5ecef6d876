//! The router without sockets.
