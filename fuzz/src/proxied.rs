//! The header of a proxy: whatever is sent, it means the same wherever it is divided, and no byte behind it is lost.

use onehop::transport::{MAX_TEXT_BYTES, ProxyFault, ProxyRead, ProxyReader};

/// The first byte says how large the pieces are.
pub fn run(data: &[u8]) {
    let Some((piece, bytes)) = data.split_first() else { return };
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(read(bytes, usize::from(*piece).max(1)), whole);
    if let Ok((ProxyRead::Absent(said), behind)) = whole {
        assert_eq!([&said, behind].concat(), bytes);
        assert!(said.len() < MAX_TEXT_BYTES);
    }
}

fn read(bytes: &[u8], piece: usize) -> Result<(ProxyRead, &[u8]), ProxyFault> {
    let (mut reader, mut rest) = (ProxyReader::default(), bytes);
    while !rest.is_empty() {
        let (mut next, later) = rest.split_at(rest.len().min(piece));
        let found = reader.read(&mut next)?;
        rest = &rest[rest.len() - later.len() - next.len()..];
        if found != ProxyRead::More {
            return Ok((found, rest));
        }
    }
    Ok((ProxyRead::More, rest))
}
