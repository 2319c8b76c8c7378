/** The form in which labels are compared: an e-mail address is the same whatever its letters' case. */
export const labelKey = (label: string): string => label.normalize('NFC').toLowerCase();
