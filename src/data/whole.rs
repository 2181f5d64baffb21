//! What the structure of a file says before it is decoded: whether its end is there, and whether it has room for
//! what its header claims. Decoders believe headers: they make room for the pixels first, and fill what is missing.

use image::ImageFormat;

/// Why a file is not whole, where its decoder would not say so.
pub(super) fn lacks_its_end(bytes: &[u8]) -> Option<&'static str> {
    match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) if !jpeg_ends(bytes) => Some("a jpeg that is cut short: its end marker is missing"),
        Ok(ImageFormat::WebP) if !webp_ends(bytes) => {
            Some("a webp that is cut short: a part of it is longer than the file")
        }
        _ => None,
    }
}

/// Whether a header claims more pixels than so many bytes can say in its format, however alike they are.
pub(super) fn claims_too_much(bytes: &[u8], pixels: u64) -> bool {
    let of_a_byte = match image::guess_format(bytes) {
        // A block of 8 x 8 takes a bit at least, the shortest code.
        Ok(ImageFormat::Jpeg) => 8 * 64,
        // Deflate makes 1,032 bytes of one, each of 8 pixels at most.
        Ok(ImageFormat::Png) => 1032 * 8,
        // The two modes of a macroblock of 16 x 16 take 1.67 bits at least: their probabilities are fixed, 145 of 256 and
        // 142 of 256 for the likelier half of each (RFC 6386, section 11.2).
        Ok(ImageFormat::WebP) if is_lossy(bytes) => 8 * 256 * 100 / 167,
        // Others can repeat without end, or leave a part of the picture empty.
        _ => return false,
    };
    pixels > of_a_byte * bytes.len() as u64
}

/// Bytes that a decoder takes for so many pixels, beside those that it hands out.
pub(super) fn decoder_bytes(bytes: &[u8], pixels: u64) -> u64 {
    match image::guess_format(bytes) {
        // Pixels of four bytes, whatever is made of them.
        Ok(ImageFormat::WebP) if !is_lossy(bytes) => 4 * pixels,
        // Brightness, and two colours of a quarter of its pixels.
        Ok(ImageFormat::WebP) => 3 * pixels / 2,
        _ => 0,
    }
}

/// Whether a WebP is a lossy frame and nothing else.
fn is_lossy(webp: &[u8]) -> bool {
    webp.get(12..16) == Some(b"VP8 ")
}

/// Whether every part of a WebP lies in the file: its decoder believes a part's length, and makes room for it.
fn webp_ends(bytes: &[u8]) -> bool {
    let length = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
    let Some(end) = length(4).map(|length| length + 8).filter(|&end| end <= bytes.len()) else { return false };
    let mut at = 12;
    while at < end {
        match length(at + 4) {
            // Parts begin at even places; the last one may lack its filling.
            Some(length) => at += 8 + length,
            None => return false,
        }
        if at > end {
            return false;
        }
        at += at % 2;
    }
    true
}

/// Whether a JPEG has an end marker after its first scan. The decoder fills what is missing with
/// grey, and a network would learn that. Headers are stepped over, because a thumbnail in them
/// has an end marker of its own; inside a scan 0xff is always followed by 0x00 or a restart.
pub(super) fn jpeg_ends(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(&[lead, marker]) = bytes.get(at..at + 2) {
        match (lead, marker) {
            (0xff, 0xda) => return bytes[at..].windows(2).any(|pair| pair == [0xff, 0xd9]),
            // Not a marker, fill bytes, and markers without a length.
            (0xff, 0xff) => at += 1,
            (0xff, 0x01 | 0xd0..=0xd8) => at += 2,
            (0xff, _) => match bytes.get(at + 2..at + 4) {
                Some(&[high, low]) => at += 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
            _ => at += 1,
        }
    }
    false
}
