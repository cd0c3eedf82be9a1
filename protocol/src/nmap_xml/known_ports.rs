//! Port elements that were read before, by their bytes. A fleet says the same of its ports on each host, so that most
//! of a document need not be taken apart again.

use super::{MAX_TAG_BYTES, XmlError};
use crate::observation::PortObservation;
use memchr::memmem::Finder;
use std::collections::HashMap;

const START: &[u8] = b"<port ";
const END: &[u8] = b"</port>";
/// Longer elements hold the output of scripts and seldom come twice.
const MAX_BYTES: usize = 1_024;
/// So that a document of nothing but new ports fills no memory.
const MAX_COUNT: usize = 4_096;

/// What the bytes of a whole port element came to. The same bytes at the same place always come to the same.
#[derive(Debug)]
pub(super) struct KnownPorts {
    end: Finder<'static>,
    known: HashMap<Box<[u8]>, PortObservation>,
    candidate: Option<Candidate>,
}

/// An element that is being read for the first time.
#[derive(Debug)]
struct Candidate {
    element: Box<[u8]>,
    /// Where in the document it ends, if its first end tag is its own.
    end: u64,
}

impl Default for KnownPorts {
    fn default() -> Self {
        Self { end: Finder::new(END), known: HashMap::new(), candidate: None }
    }
}

impl KnownPorts {
    /// Gives the ports that `ahead`, which lies at `offset` of the document, begins with to `add`, as far as they are
    /// known; returns how many bytes that were.
    pub(super) fn take(
        &mut self,
        ahead: &[u8],
        offset: u64,
        mut add: impl FnMut(&PortObservation) -> Result<(), XmlError>,
    ) -> Result<usize, XmlError> {
        let mut taken = 0;
        while let Some((skipped, element)) = self.first_element(ahead.get(taken..).unwrap_or_default()) {
            let end = taken + skipped + element.len();
            match self.known.get(element) {
                Some(port) => add(port)?,
                None => {
                    let end = offset.saturating_add(u64::try_from(end).unwrap_or(u64::MAX));
                    self.candidate = Some(Candidate { element: element.into(), end });
                    break;
                }
            }
            taken = end;
        }
        Ok(taken)
    }

    /// A port element that ends at `end` of the document came to `port`.
    pub(super) fn learn(&mut self, port: &PortObservation, end: u64) {
        // Another end than its own: there was more than one port in it.
        if let Some(Candidate { element, .. }) = self.candidate.take().filter(|candidate| candidate.end == end) {
            if self.known.len() >= MAX_COUNT {
                self.known.clear();
            }
            self.known.insert(element, port.clone());
        }
    }

    /// The white space before it, and the element.
    fn first_element<'a>(&self, ahead: &'a [u8]) -> Option<(usize, &'a [u8])> {
        let trimmed = ahead.trim_ascii_start();
        let skipped = ahead.len() - trimmed.len();
        if skipped > MAX_TAG_BYTES || !trimmed.starts_with(START) {
            return None;
        }
        let near = trimmed.get(..MAX_BYTES).unwrap_or(trimmed);
        let end = self.end.find(near)? + END.len();
        Some((skipped, near.get(..end)?))
    }
}

#[cfg(test)]
mod tests {
    use crate::nmap_xml::{HostRecord, Reader};
    use proptest::prelude::*;
    use std::io::Read;

    /// Elements between `<ports>` and `</ports>`; `{}` stands where a comment may be put.
    const ELEMENTS: [&str; 9] = [
        "<port protocol=\"tcp\" portid=\"22\"><state state=\"open\"/>{}<service name=\"ssh\" method=\"probed\"/></port>",
        "<port protocol=\"tcp\" portid=\"80\"><state state=\"open\"/>{}</port>\n",
        "<port protocol=\"udp\" portid=\"53\"><state state=\"closed\"/>{}<!-- </port> --><service name=\"domain\"/></port>",
        "<port protocol=\"tcp\" portid=\"81\">{}<state state=\"open\"/><![CDATA[</port>]]></port>",
        "<port protocol=\"tcp\" portid=\"443\"><state state=\"filtered\"/>{}<port portid=\"9\"></port></port>",
        "<port protocol=\"ip\" portid=\"6\"><state state=\"open\"/>{}</port>",
        "<port protocol=\"tcp\" portid=\"25\"><state state=\"open\"/>{}<service name=\"a\"></service><x y='</port>'/></port >\n",
        "<other>{}<port protocol=\"tcp\" portid=\"7\"><state state=\"open\"/></port></other>",
        "  {}<!-- <port protocol=\"tcp\" portid=\"22\"> -->",
    ];

    fn document(hosts: &[Vec<usize>], mut comment: impl FnMut() -> String) -> String {
        let mut document = "<nmaprun><scaninfo type=\"connect\" protocol=\"tcp\" services=\"1-9999\"/>".to_owned();
        for host in hosts {
            document += "<host><status state=\"up\"/><address addr=\"10.0.0.1\"/><ports>";
            for element in host {
                document += &ELEMENTS[*element].replace("{}", &comment());
            }
            document += "</ports></host>";
        }
        document + "</nmaprun>"
    }

    /// Gives few bytes at a time.
    struct Slowly<'a>(&'a [u8], usize);

    impl Read for Slowly<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(buffer.len());
            self.0.read(&mut buffer[..count])
        }
    }

    fn read(document: &str, at_once: usize) -> (Vec<HostRecord>, Option<String>) {
        let mut reader = Reader::new(Slowly(document.as_bytes(), at_once));
        let mut hosts = Vec::new();
        loop {
            match reader.next_host() {
                Ok(Some(host)) => hosts.push(host),
                Ok(None) => return (hosts, None),
                Err(error) => return (hosts, Some(error.to_string())),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_known_by_its_bytes_reads_as_if_it_were_new(
            hosts in prop::collection::vec(prop::collection::vec(0..ELEMENTS.len(), 0..6), 1..6),
            at_once in prop_oneof![1usize..40, Just(100_000)],
        ) {
            let mut comments = 0;
            let new_each_time = document(&hosts, || {
                comments += 1;
                format!("<!--{comments}-->")
            });
            let (known, known_error) = read(&document(&hosts, String::new), at_once);
            let (new, new_error) = read(&new_each_time, 100_000);
            prop_assert_eq!(known, new);
            prop_assert_eq!(known_error, None);
            prop_assert_eq!(new_error, None);
        }
    }

    #[test]
    fn a_document_of_nothing_but_new_ports_fills_no_memory() {
        let host = |number: u32| {
            format!(
                "<host><status state=\"up\"/><address addr=\"10.0.0.1\"/><ports><port protocol=\"tcp\" portid=\"1\"><state state=\"open\" reason=\"{number}\"/></port></ports></host>"
            )
        };
        let document = (0..10_000).fold("<nmaprun>".to_owned(), |all, number| all + &host(number)) + "</nmaprun>";
        let mut reader = Reader::new(document.as_bytes());
        let mut most = 0;
        while reader.next_host().unwrap().is_some() {
            most = most.max(reader.tree.known_ports.known.len());
        }
        assert_eq!(most, super::MAX_COUNT);
    }
}
