//! Signing the roster that waits, where the mesh key is: what is signed is compared here, not believed.

use crate::cli::print::{self, Form};
use crate::client::Client;
use crate::exit::{Exit, Failure};
use anyhow::Context;
use protocol::Keypair;
use protocol::card::{Card, Endorsement};
use protocol::roster::{Change, SignedRoster, changes};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use web::api::roster::{self, Awaited, Roster, Signed};

/// Shows what waits, signs it with the key in `file` and hands it to the coordinator.
pub(super) async fn sign(client: &Client, file: &Path, yes: bool, form: Form) -> anyhow::Result<()> {
    let key = Keypair::load(file)?;
    let found: Roster = client.get("/roster").await?;
    let Some(awaited) = &found.awaited else {
        print::note("nothing waits for a signature");
        return Ok(());
    };
    let (next, changes) = checked(&key, &found, awaited)?;
    let signed_before = last_epoch(file)?;
    if next.epoch <= signed_before {
        let reason = format!(
            "this key signed roster epoch {signed_before} before, and epoch {} would be a second truth; was an old backup of the coordinator restored? It takes the newer roster over from the first node that it hears",
            next.epoch
        );
        return Err(Failure::new(Exit::Failed, reason).into());
    }
    let shown =
        if changes.is_empty() { vec!["lasts longer, and changes nothing else".to_owned()] } else { words(&changes) };
    print::note(&format!("Roster epoch {}, good until {}:\n  {}", next.epoch, next.not_after, shown.join("\n  ")));
    let card = awaited.card.as_deref().map(|card| coordinators(card, &next)).transpose()?;
    if let Some(card) = &card {
        let addresses: Vec<String> = card.addresses.iter().map(ToString::to_string).collect();
        print::note(&format!("Where new nodes find the coordinator: {} at {}", card.key, addresses.join(", ")));
    }
    print::confirm("Sign it?", yes)?;
    let signed = Signed {
        signed: roster::text(&SignedRoster::sign(&next, &key)),
        endorsement: card.map(|card| roster::text(&Endorsement::sign(card, &key))),
    };
    let taken: Roster = client.post("/roster/sign", &signed).await?;
    // What the coordinator refused is no truth, and the next roster has its number.
    note_epoch(file, next.epoch)?;
    form.show(&taken, |taken| format!("roster epoch {} is in force", taken.epoch))
}

/// The card that waits, if it is that of the coordinator whom the roster names.
fn coordinators(card: &str, roster: &protocol::roster::Roster) -> anyhow::Result<Card> {
    let card: Card = roster::read(card).context("the coordinator's card that waits cannot be read")?;
    match roster.coordinator(roster.issued) {
        Some(member) if member.key == card.key => Ok(card),
        Some(_) | None => Err(Failure::new(
            Exit::Failed,
            "the card that waits is not the coordinator's; do not sign, and look at who runs it",
        )
        .into()),
    }
}

fn words(changes: &[Change]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}

/// The roster that waits, if it follows the one in force and brings no revoked key back.
fn checked(
    key: &Keypair,
    found: &Roster,
    awaited: &Awaited,
) -> anyhow::Result<(protocol::roster::Roster, Vec<Change>)> {
    let mesh = key.mesh_id();
    let held: SignedRoster = roster::read(&found.signed).context("the roster in force cannot be read")?;
    let before = held.verify(mesh).context("this is not the key of the coordinator's mesh")?;
    let next: protocol::roster::Roster = roster::read(&awaited.body).context("the roster that waits cannot be read")?;
    next.follows(&before).context("the roster that waits is not one to sign")?;
    let changes = changes(&before, &next);
    Ok((next, changes))
}

fn epoch_file(file: &Path) -> PathBuf {
    file.with_extension("epoch")
}

/// The highest epoch that was signed with the key in `file`.
fn last_epoch(file: &Path) -> anyhow::Result<u64> {
    let path = epoch_file(file);
    match std::fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().with_context(|| format!("{} does not hold a number", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

fn note_epoch(file: &Path, epoch: u64) -> anyhow::Result<()> {
    let path = epoch_file(file);
    let new = path.with_extension("epoch.new");
    let written = File::create(&new).and_then(|mut out| {
        writeln!(out, "{epoch}")?;
        out.sync_all()?;
        std::fs::rename(&new, &path)
    });
    written.with_context(|| format!("noting in {} what is signed", path.display()))
}
