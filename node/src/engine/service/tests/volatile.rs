//! What changes by itself never reaches a field: each protocol's answer with other numbers, times and ids reads the same.

use super::*;

/// How one protocol answers when its changing parts are these; the number stands for counters and times, the word for ids.
type Answer = fn(u64, &str) -> Vec<u8>;

const ANSWERS: [(&str, Answer); 19] = [
    ("ssh: text before it", |n, _| format!("queue {n}\r\nSSH-2.0-OpenSSH_9.2p1\r\n").into_bytes()),
    ("mysql: thread and salt", |n, word| {
        let mut bytes = b"\x4a\0\0\0\x0a8.0.36\0".to_vec();
        bytes.extend(n.to_le_bytes());
        bytes.extend(word.as_bytes());
        bytes
    }),
    ("smtp: date and id", |n, word| format!("220 mx ESMTP Exim 4.96 {n:02}:{n:02} id {word}\r\n").into_bytes()),
    ("ftp: user number", |n, _| {
        format!("220-- Welcome to Pure-FTPd --\r\n220-You are user number {n}\r\n").into_bytes()
    }),
    ("pop3: time stamp", |n, word| format!("+OK Dovecot ready. <{n}.{n}@{word}>\r\n").into_bytes()),
    ("imap: session", |n, word| format!("* OK [ID {word}] Dovecot ready. {n}\r\n").into_bytes()),
    ("redis: uptime", |n, word| {
        format!("+PONG\r\n$9\r\n# Server\r\nredis_version:7.0.15\r\nrun_id:{word}\r\nuptime_in_seconds:{n}\r\n")
            .into_bytes()
    }),
    ("mongodb: number of the answer", |n, _| {
        [
            b"\x50\0\0\0",
            &n.to_le_bytes()[..4],
            b"\x01\0\0\0\xdd\x07\0\0\0\0\0\0\0\x30\0\0\0\x02version\0\x04\0\0\x006.0\0",
        ]
        .concat()
    }),
    ("zookeeper: counters", |n, _| {
        format!("Zookeeper version: 3.8.0-5a, built on 1\nReceived: {n}\nZxid: {n:#x}\n").into_bytes()
    }),
    ("http: date, length, cookie", |n, word| {
        format!(
            "HTTP/1.1 200 OK\r\nDate: {n}\r\nServer: nginx\r\nContent-Length: {n}\r\nSet-Cookie: {word}\r\n\r\n{word}"
        )
        .into_bytes()
    }),
    ("elasticsearch: node and cluster", |_, word| {
        format!("HTTP/1.0 200 OK\r\n\r\n{{\"name\":\"{word}\",\"cluster_uuid\":\"{word}\",\"number\":\"7.17.0\",\"tagline\":\"You Know, for Search\"}}").into_bytes()
    }),
    ("dns: time to live", |n, _| {
        let question = b"\0\x37\x70\x64\x85\0\0\x01\0\x01\0\0\0\0\x07version\x04bind\0\0\x10\0\x03";
        [&question[..], b"\xc0\x0c\0\x10\0\x03", &n.to_be_bytes()[4..], b"\0\x0d\x0cdnsmasq-2.90"].concat()
    }),
    ("epmd: who is registered", |n, _| format!("\0\0\x11\x11name rabbit{n} at port {}\n", n % 65_536).into_bytes()),
    ("amqp: cluster", |n, word| {
        let start = b"\x01\0\0\0\0\x01\xfe\0\x0a\0\x0a\0\x09\x07productS\0\0\0\x08RabbitMQ\x07versionS\0\0\0\x063.10.8";
        [&start[..], format!("\x0ccluster_nameS{word}{n}").as_bytes()].concat()
    }),
    ("sip: tags", |n, word| {
        format!("SIP/2.0 200 OK\r\nTo: <sip:a@b>;tag={word}{n}\r\nServer: Asterisk PBX 18.9\r\n\r\n").into_bytes()
    }),
    ("irc: time", |n, word| format!(":irc.example.net NOTICE * :*** {n} {word}\r\n").into_bytes()),
    ("xmpp: stream", |_, word| format!("<stream:stream id='{word}' xmlns='jabber:client'>").into_bytes()),
    ("mqtt: other topics", |n, _| {
        [b"\x20\x02\0\0\x31\x2d\0\x13$SYS/broker/versionmosquitto version 2.0.11", &[0x31, 8][..], &n.to_be_bytes()]
            .concat()
    }),
    ("tls: random", |n, _| [&[22, 3, 3, 0, 80, 2, 0, 0, 76, 3, 3][..], &n.to_be_bytes()].concat()),
];

/// What any parser makes of these bytes, in the order in which they are tried.
fn read(bytes: &[u8]) -> Option<Found> {
    let said = Said { bytes, is_over: true };
    parse_greeting(&said).or_else(|| PROBES.iter().find_map(|probe| (probe.read)(&said)))
}

proptest! {
    #[test]
    fn what_changes_by_itself_reads_the_same(
        numbers in any::<[u64; 2]>(),
        words in prop::array::uniform2("[a-zA-Z0-9]{8,20}"),
    ) {
        for (label, answer) in ANSWERS {
            let [one, other] = [0, 1].map(|at| read(&answer(numbers[at], &words[at])));
            prop_assert!(one.is_some(), "{} is understood", label);
            prop_assert_eq!(one, other, "{}", label);
        }
    }

    #[test]
    fn the_shape_of_an_unknown_answer_stays_while_its_numbers_change(numbers in any::<[u32; 2]>()) {
        let [one, other] = numbers.map(|n| found::fingerprint(format!("\r\nHELLO {n} at {n}:{n}\r\nuptime {n}\r\n").as_bytes()));
        prop_assert_eq!(&one, "HELLO 0 at 0:0");
        prop_assert_eq!(one, other);
    }
}
