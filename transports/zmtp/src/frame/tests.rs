use super::*;

fn check(input: &[u8], size_max: u64, expected: Result<Option<Header>, InvalidFrame>) {
    let expected = expected.map_err(Error::from);
    assert_eq!(decode(input, size_max), expected, "{input:x?}, at most {size_max}");
}

const fn header(more: bool, command: bool, header_len: usize, size: usize) -> Header {
    Header { more, command, header_len, size }
}

#[test]
fn headers_of_the_grammar_are_read() {
    for (input, expected) in [
        (&[0x00, 0][..], header(false, false, 2, 0)),
        (&[0x00, 1, 0xaa], header(false, false, 2, 1)),
        (&[0x01, 255], header(true, false, 2, 255)),
        (&[0x04, 41], header(false, true, 2, 41)),
        (&[0x02, 0, 0, 0, 0, 0, 0, 1, 0], header(false, false, 9, 256)),
        (&[0x03, 0, 0, 0, 0, 0, 1, 0, 0], header(true, false, 9, 65_536)),
        (&[0x06, 0, 0, 0, 0, 0, 0, 1, 2], header(false, true, 9, 258)),
        // A long frame may be short.
        (&[0x02, 0, 0, 0, 0, 0, 0, 0, 3], header(false, false, 9, 3)),
        (
            &[0x02, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0],
            header(false, false, 9, 0x7fff_ffff_ffff_0000),
        ),
    ] {
        check(input, u64::MAX, Ok(Some(expected)));
        assert_eq!(expected.frame_len(), expected.header_len + expected.size);
        assert_eq!(split(input), (expected, &input[expected.header_len..]));
    }
}

#[test]
fn a_header_cut_anywhere_is_incomplete() {
    let long = [0x03, 0, 0, 0, 0, 0, 1, 0, 0];
    for len in 0..long.len() {
        check(&long[..len], u64::MAX, Ok(None));
    }
    check(&[0x00], u64::MAX, Ok(None));
    check(&[0x04], u64::MAX, Ok(None));
}

#[test]
fn every_flags_byte_is_taken_or_refused_by_itself() {
    for flags in 0..=u8::MAX {
        let expected = match flags {
            0..=4 | 6 => Ok(None),
            5 | 7 => Err(InvalidFrame::CommandWithMore),
            _ => Err(InvalidFrame::ReservedFlags { flags }),
        };
        check(&[flags], u64::MAX, expected);
    }
}

#[test]
fn sizes_beyond_a_limit_are_refused_at_the_header() {
    for flags in [0x00, 0x01, 0x04] {
        check(&[flags, 8], 8, Ok(Some(header(flags == 1, flags == 4, 2, 8))));
        check(&[flags, 9], 8, Err(InvalidFrame::SizeBeyondMax { size: 9, size_max: 8 }));
    }
    check(&[0, 0], 0, Ok(Some(header(false, false, 2, 0))));
    check(
        &[0x02, 0, 0, 0, 0, 0, 0, 1, 1],
        256,
        Err(InvalidFrame::SizeBeyondMax { size: 257, size_max: 256 }),
    );
    let size = 1 << 63;
    check(&[0x06, 0x80, 0, 0, 0, 0, 0, 0, 0], 8, Err(InvalidFrame::SizeTopBit { size }));
    check(&[0x02, 0x80, 0, 0, 0, 0, 0, 0, 0], u64::MAX, Err(InvalidFrame::SizeTopBit { size }));
    check(&[0x02; 9], u64::MAX, Ok(Some(header(false, false, 9, 0x0202_0202_0202_0202))));
}

#[test]
fn encoded_headers_are_read_back_and_are_the_shortest() {
    for (more, command) in [(false, false), (true, false), (false, true)] {
        for size in [0, 1, 254, 255, 256, 65_535, 1 << 32, isize::MAX as usize] {
            let (bytes, len) = encode(more, command, size);
            assert_eq!(len, if size < 256 { 2 } else { 9 });
            assert!(bytes[len..].iter().all(|byte| *byte == 0));
            check(&bytes[..len], u64::MAX, Ok(Some(header(more, command, len, size))));
        }
    }
}

#[test]
fn missing_bytes_lead_to_the_header_and_then_to_the_frame() {
    for (input, expected) in [
        (&[][..], 2),
        (&[0x00], 1),
        (&[0x02], 8),
        (&[0x02, 0, 0, 0], 5),
        (&[0x00, 3], 3),
        (&[0x00, 3, 1], 2),
        (&[0x00, 3, 1, 2, 3], 0),
        (&[0x00, 3, 1, 2, 3, 4], 0),
    ] {
        assert_eq!(missing(input, decode(input, u64::MAX).unwrap()), expected, "{input:x?}");
    }
}
