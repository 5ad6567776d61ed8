//! What belongs to a group, and as what: for joins with everything that is told of targets.

use std::sync::Arc;

use super::page::push_label;
use super::rows::{Subject, families};
use crate::model::GroupMember;

/// A target in a group.
#[derive(Debug)]
pub(super) struct MemberSeries {
    /// The labels of its sample, rendered.
    pub(super) labels: Arc<str>,
}

impl Subject for MemberSeries {
    fn labels(&self) -> &str {
        &self.labels
    }
}

impl MemberSeries {
    pub(super) fn new(member: &GroupMember) -> Self {
        let mut labels = String::new();
        push_label(&mut labels, "group", &member.group);
        push_label(&mut labels, "probe", &member.probe);
        push_label(&mut labels, "source_region", &member.source_region);
        push_label(&mut labels, "target_region", &member.target_region);
        push_label(&mut labels, "target", &member.target);
        push_label(&mut labels, "role", member.role.as_str());
        Self {
            labels: labels.into(),
        }
    }
}

families! {
    of MemberSeries;

    /// 1 for every target of a group, with the part that the configuration gives its region.
    Gauge group_member: |_member, rows| rows.value(1u64);
}
