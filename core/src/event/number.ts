/**
 * What a double makes of a number that JSON can write: it keeps it, it rounds it away from digits that were written, or it cannot hold it at
 * all (no longer finite, or so small that nothing or little is left of it).
 */
export type Fidelity = 'kept' | 'rounded' | 'lost';

/** Longer than any number that means something, short enough to be looked at. */
const MAX_LENGTH = 1000;
const SAFE_DIGITS = 15;
const SMALLEST = 1e-308;

/** `text` has at least the characters of a JSON number; of one that is not a number it says `kept`, since the parser refuses it. */
export function fidelityOf(text: string): Fidelity {
  if (text.length > MAX_LENGTH) return 'lost';
  const value = Number(text);
  if (Number.isNaN(value)) return 'kept';
  if (!Number.isFinite(value)) return 'lost';
  const mantissa = text.replace(/[eE].*$/, '');
  if (Math.abs(value) < SMALLEST && /[1-9]/.test(mantissa)) return 'lost';
  const digits = mantissa.replace(/\D/g, '').replace(/^0+/, '').length;
  return digits > SAFE_DIGITS && String(value) !== text ? 'rounded' : 'kept';
}
