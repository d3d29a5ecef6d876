//! Lists and watches through the router.
