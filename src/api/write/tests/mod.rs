//! Writes through the router, over a whole engine.

mod delete;
mod goldens;
mod jobs;
mod namespaces;
mod priority_classes;
mod rules;
