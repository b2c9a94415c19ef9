// 3×3 layers with 64 channels or more: those that the share of the peak is about.
export const isDense = ({ w: [kh, , cin, cout] }) => kh === 3 && Math.min(cin, cout) >= 64;
