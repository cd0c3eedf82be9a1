//! What the hosts of made-up networks have open.

/// Ports, each with the name, product and version of what answers there.
pub(crate) const SERVICES: [(u16, &str, &str, &str); 10] = [
    (22, "ssh", "OpenSSH", "8.4p1 Debian 5+deb11u1"),
    (25, "smtp", "Postfix smtpd", ""),
    (53, "domain", "ISC BIND", "9.16.27"),
    (80, "http", "nginx", "1.18.0"),
    (111, "rpcbind", "", "2-4"),
    (143, "imap", "Dovecot imapd", ""),
    (443, "http", "nginx", "1.18.0"),
    (993, "imap", "Dovecot imapd", ""),
    (3306, "mysql", "MySQL", "8.0.28"),
    (8080, "http", "Apache httpd", "2.4.53"),
];
