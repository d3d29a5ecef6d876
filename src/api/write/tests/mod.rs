//! Writes through the router, over a whole engine.

mod delete;
mod goldens;
mod jobs;
mod namespaces;
mod pods;
mod priority_classes;
