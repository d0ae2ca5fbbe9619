/**
 * Whether a caught value is a system error of one of these codes. By shape, not by class: errors that Node itself makes are of another
 * realm's class where code runs in a context of its own, as tests do.
 */
export function hasErrno(error: unknown, ...codes: readonly string[]): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && codes.some((code) => code === error.code);
}
