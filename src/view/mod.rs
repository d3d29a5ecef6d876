//! The durable mirror, the watch ring, and rendering to JSON.
