//! For benchmarks: results go into a store as nodes deliver them and runs are closed as ever, without a mesh around.

use crate::closing::{self, Closing};
use crate::housekeeping::compact_if_due;
use crate::intake;
use crate::registry::{Admission, Approval, NodeRecord};
use crate::run::{Look, RunState, TaskRecord, Trigger};
use crate::scan::{Scan, ScanDraft};
use crate::store::tables::{NODES, RUNS, SCANS, TASKS};
use crate::store::{KeepFree, Store, StoreError, StoreOptions, bare_loop};
use crate::use_case::UseCaseError;
use crate::use_case::runs::queue;
use protocol::letter::SealingKey;
use protocol::message::{EnrolRequest, NodeFacts, ReceiptOutcome, TaskResult};
use protocol::task::{RunId, ScanId, TaskId};
use protocol::text::Text;
use protocol::{Keypair, NodeId, TargetSet, Timestamp};
use std::path::Path;

pub use crate::store::Usage;

const SCAN: ScanId = ScanId(1);

/// A store with one scan and one approved node.
pub struct Bench {
    store: Store,
    node: NodeId,
}

impl Bench {
    /// Makes it in the empty folder `dir`.
    pub async fn create(dir: &Path, scan: &ScanDraft, now: Timestamp) -> Result<Self, UseCaseError> {
        let definition = scan.check()?;
        let store = Store::create(dir, options())?;
        let made = Self { store, node: node() };
        let approve = move |draft: &mut crate::store::Draft| {
            let ranges = definition.wanted();
            draft.put(&SCANS, &SCAN, &Scan::new(SCAN, definition, Text::default(), now))?;
            draft.put(&NODES, &node(), &approved(ranges, now))
        };
        made.store.update::<_, StoreError>(approve).await?;
        Ok(made)
    }

    /// Opens it again.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Ok(Self { store: Store::open(dir, options())?, node: node() })
    }

    /// Begins a run with a task for each of `targets`, all of them leased. Its silence is proof, so that it ends without
    /// a second look.
    pub async fn begin(&self, targets: Vec<TargetSet>, now: Timestamp) -> Result<Vec<TaskId>, UseCaseError> {
        let node = self.node;
        let begin = move |draft: &mut crate::store::Draft| {
            let mut run = queue(draft, SCAN, Trigger::Import { by: Text::default(), authoritative: true }, now)?;
            let mut tasks = Vec::new();
            for (index, targets) in (0u32..).zip(targets) {
                let mut task = TaskRecord::new(TaskId { run: run.id, index }, Look::First, targets, now);
                task.lease_to(node, now);
                draft.put(&TASKS, &task.id, &task)?;
                tasks.push(task.id);
            }
            (run.state, run.started) = (RunState::Running, Some(now));
            run.tasks = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
            draft.put(&RUNS, &run.id, &run)?;
            Ok::<_, UseCaseError>(tasks)
        };
        self.store.update(begin).await
    }

    /// Takes one result; when this returns it is on disk. True when it was stored.
    pub async fn take(&self, result: TaskResult, now: Timestamp) -> Result<bool, StoreError> {
        let taken = intake::take(&self.store, self.node, result, now).await?;
        Ok(taken.outcome == ReceiptOutcome::Stored)
    }

    /// Closes a run whose tasks have all ended. True when it has a whole report then.
    pub async fn close_run(&self, run: RunId, now: Timestamp) -> Result<bool, StoreError> {
        match closing::close(&self.store, run, now).await? {
            Closing::Closed { run, .. } => Ok(run.state == RunState::Completed),
            Closing::LooksAgain { .. } => Ok(false),
        }
    }

    /// Compacts the store if the coordinator would, as after each run; says whether it did.
    pub async fn tidy(&self) -> Result<bool, StoreError> {
        Ok(compact_if_due(&self.store).await?.is_some())
    }

    /// What it takes of the disk.
    pub async fn usage(&self) -> Result<Usage, StoreError> {
        self.store.usage().await
    }

    /// Leaves everything on disk.
    pub async fn stop(self) {
        self.store.close().await;
    }
}

/// Puts each of `uploads` into a bare sled in `dir` as one batch, and its bytes into a file that is synced before the
/// next one begins: what durable ingest costs at least.
pub fn bare(dir: &Path, uploads: &[Vec<(Vec<u8>, Vec<u8>)>]) -> Result<(), StoreError> {
    bare_loop(dir, uploads)
}

/// As ever, but on whatever room the disk has left.
fn options() -> StoreOptions {
    StoreOptions { keep_free: KeepFree::bytes(1 << 20), ..StoreOptions::default() }
}

fn node() -> NodeId {
    Keypair::from_seed(&[7; 32]).node_id()
}

fn approved(ranges: TargetSet, now: Timestamp) -> NodeRecord {
    let request = EnrolRequest {
        sealing: SealingKey::from_bytes([1; 32]),
        label: "bench".into(),
        facts: NodeFacts::default(),
        secret: None,
        succeeds: None,
    };
    let approval =
        Approval { ranges, site: "main".into(), expires: None, may_sponsor: false, by: Text::default(), at: now };
    NodeRecord { admission: Admission::Approved(approval), ..NodeRecord::asked(node(), &request, now) }
}
