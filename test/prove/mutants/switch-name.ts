/** The global function, made in workerd, that says whether the mutant of a number is the one that runs now. */
export const SWITCH = '__isMutant';
