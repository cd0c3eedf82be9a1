//! nmap's XML document in both directions, as a stream: hosts one by one, and around them what the document proves.
//!
//! Rules 8 and 10 of SECURITY-DESIGN.md section 4 hold here. Starting nmap, and deciding what to do with its findings,
//! is left to the engine and to the coordinator.

mod claims;
mod host;
mod known_ports;
mod proof;
mod source;
mod summary;
#[cfg(test)]
mod tests;
mod write;

pub use claims::Claims;
pub use proof::{Completeness, Incomplete, completeness, coverage, detection};
pub use summary::{Exit, Finished, HostCounts, ScanInfo, Summary};
pub use write::{RunFacts, write};

use crate::observation::HostObservation;
use crate::text::Text;
use claims::ClaimsBuilder;
use host::HostBuilder;
use known_ports::KnownPorts;
use source::{Event, Sink, Source, Tag, Texts};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

/// The most bytes of one tag, comment or text.
pub const MAX_TAG_BYTES: usize = 64 << 10;
/// The most attributes of one tag.
pub const MAX_ATTRIBUTES: usize = 64;
/// The most elements inside each other.
pub const MAX_DEPTH: usize = 32;
/// The most ports of one protocol on one host.
pub const MAX_PORTS: usize = 65_536;
/// The most names, and the most kinds of unlisted ports, of one host; and the most `scaninfo` elements.
pub const MAX_ITEMS: usize = 256;
/// The most claims of coverage of one document.
pub const MAX_CLAIMS: usize = 65_536;

/// Why a document could not be read on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum XmlError {
    /// The bytes stopped coming.
    #[error("reading the nmap document failed: {0}")]
    Read(Arc<io::Error>),
    /// It ends before its root element does.
    #[error("the nmap document is cut short; nmap was ended or its disk is full, scan again")]
    Cut,
    /// It breaks the rules of XML.
    #[error("the nmap document is damaged at byte {at}: {why}")]
    Malformed {
        /// Counted from 0.
        at: u64,
        /// What the XML reader says.
        why: quick_xml::Error,
    },
    /// Its root is another element, or something follows the root.
    #[error("this is no nmap document; give the file that nmap wrote with -oX")]
    NotNmap,
    /// It brings its own document type or definitions.
    #[error("the document type is not the plain nmaprun; such files are not read")]
    Doctype,
    /// Larger than nmap writes it.
    #[error("the nmap document has {what} over the limit of {limit}; such files are not read")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// The limit it passed.
        limit: usize,
    },
    /// A value that is not what nmap writes there.
    #[error("{what} of the nmap document cannot be read: `{value}`")]
    Unreadable {
        /// Element and attribute.
        what: &'static str,
        /// The value found.
        value: Text,
    },
    /// A host without an IP address.
    #[error("a host of the nmap document has no IP address; such files are not read")]
    NoAddress,
}

/// One host element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRecord {
    /// nmap settled this host: it is up or down, and its ports are as they stand here.
    Observed(HostObservation),
    /// nmap gave it up (`timedout="true"`) or does not know its state: nothing was learned.
    NotObserved(IpAddr),
}

/// Reads one document. It takes from `input` only what the next host needs, so a pipe can be read as nmap writes.
#[derive(Debug)]
pub struct Reader<R> {
    source: Source<R>,
    tree: Tree,
}

/// The document as far as it was read.
#[derive(Debug, Default)]
struct Tree {
    path: Vec<Element>,
    host: HostBuilder,
    claims: ClaimsBuilder,
    texts: Texts,
    known_ports: KnownPorts,
    summary: Summary,
}

/// The elements whose place in the tree matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    Run,
    RunStats,
    PreScript,
    Host,
    HostNames,
    Os,
    Ports,
    ExtraPorts,
    Port,
    Other,
}

impl<R: io::Read> Reader<R> {
    /// Nothing is read yet.
    pub fn new(input: R) -> Self {
        Self { source: Source::new(input), tree: Tree::default() }
    }

    /// The next host, or `None` when the document ended as it should.
    ///
    /// # Errors
    /// Each [`XmlError`]; hosts returned before stay true, and [`Reader::finish`] keeps the error.
    pub fn next_host(&mut self) -> Result<Option<HostRecord>, XmlError> {
        if let Some(defect) = &self.tree.summary.defect {
            return Err(defect.clone());
        }
        let found = self.read_host();
        let summary = &mut self.tree.summary;
        match &found {
            Ok(Some(HostRecord::Observed(host))) => summary.count(host.state),
            Ok(Some(HostRecord::NotObserved(address))) => summary.not_observed.push(*address),
            Ok(None) => {}
            Err(error) => summary.defect = Some(error.clone()),
        }
        found
    }

    /// What the document says about itself, as far as it was read; reads on to the end first.
    pub fn finish(mut self) -> Summary {
        while let Ok(Some(_)) = self.next_host() {}
        self.tree.summary
    }

    /// What was read so far about the run itself; complete only after the last host.
    pub fn summary(&self) -> &Summary {
        &self.tree.summary
    }

    fn read_host(&mut self) -> Result<Option<HostRecord>, XmlError> {
        let Self { source, tree } = self;
        source.until(tree)
    }
}

/// Finds hosts, and `None` where the document ends as it should.
impl Sink for Tree {
    type Found = Option<HostRecord>;

    fn take(&mut self, event: Event<'_>, end: u64) -> Result<Option<Self::Found>, XmlError> {
        match event {
            Event::Start(tag) => {
                let element = self.enter(&tag)?;
                if self.path.len() >= MAX_DEPTH {
                    return Err(XmlError::TooLarge { what: "a depth of elements", limit: MAX_DEPTH });
                }
                self.path.push(element);
                Ok(None)
            }
            Event::Empty(tag) => {
                let element = self.enter(&tag)?;
                self.leave(element, end)
            }
            Event::End => {
                let element = self.path.pop().ok_or(XmlError::NotNmap)?;
                self.leave(element, end)
            }
            Event::Text if self.path.is_empty() => Err(XmlError::NotNmap),
            Event::Text => Ok(None),
            Event::Doctype if self.path.is_empty() && !self.summary.closed => Ok(None),
            Event::Doctype => Err(XmlError::Doctype),
            Event::Eof if self.summary.closed => Ok(Some(None)),
            Event::Eof => Err(XmlError::Cut),
        }
    }

    fn may_skip(&self) -> bool {
        self.path.last() == Some(&Element::Ports)
    }

    fn skip(&mut self, ahead: &[u8], offset: u64) -> Result<usize, XmlError> {
        let Self { host, known_ports, .. } = self;
        match self.path.last() {
            Some(Element::Ports) => known_ports.take(ahead, offset, |port| host.add_known(port)),
            _ => Ok(0),
        }
    }
}

impl Tree {
    /// Takes in one tag by its name and its place; what stands elsewhere is skipped.
    fn enter(&mut self, tag: &Tag<'_>) -> Result<Element, XmlError> {
        use Element as E;
        let Some(place) = self.path.last() else { return self.enter_root(tag) };
        match (place, tag.name()) {
            (E::Run, "scaninfo") => self.summary.add_scan(tag)?,
            (E::Run, "host") => {
                self.host = HostBuilder::start(tag, self.summary.start)?;
                return Ok(E::Host);
            }
            (E::Run, "runstats") => return Ok(E::RunStats),
            (E::Run, "prescript") => return Ok(E::PreScript),
            (E::PreScript, "script") => self.claims.add(tag)?,
            (E::RunStats, "finished") => self.summary.finished = Some(Finished::read(tag)?),
            (E::RunStats, "hosts") => self.summary.hosts = Some(HostCounts::read(tag)?),
            (place, _) => return self.host.enter(*place, tag, &mut self.texts),
        }
        Ok(E::Other)
    }

    fn enter_root(&mut self, tag: &Tag<'_>) -> Result<Element, XmlError> {
        if tag.name() != "nmaprun" || self.summary.closed {
            return Err(XmlError::NotNmap);
        }
        self.summary.open(tag)?;
        Ok(Element::Run)
    }

    fn leave(&mut self, element: Element, end: u64) -> Result<Option<Option<HostRecord>>, XmlError> {
        match element {
            Element::Run => self.summary.closed = true,
            Element::PreScript => self.summary.claims = std::mem::take(&mut self.claims).build(),
            Element::Port => {
                if let Some(port) = self.host.end_port()? {
                    self.known_ports.learn(port, end);
                }
            }
            Element::ExtraPorts => self.host.end_unlisted(&self.summary.scans)?,
            Element::Host => return Ok(Some(Some(std::mem::take(&mut self.host).finish()?))),
            Element::RunStats | Element::HostNames | Element::Os | Element::Ports | Element::Other => {}
        }
        Ok(None)
    }
}
