//! core/v1 Pods: read only; Jobs make them.

use super::{PODS, Status};
use crate::engine::Handle;
use crate::view::PodObject;

pub(super) fn find(handle: &Handle, namespace: &str, name: &str) -> Result<PodObject, Status> {
    handle.view().pod(namespace, name).ok_or_else(|| Status::not_found(PODS, name))
}
