import { useLayoutEffect, useRef, type RefObject } from "react";

/** Show a `<dialog>` above everything while it is on the page; the focus goes back to where it came from. */
export function useModal(onClose: () => void): { ref: RefObject<HTMLDialogElement>; onClose: () => void } {
  const ref = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const element = ref.current;
    element?.showModal();
    return () => element?.close();
  }, []);
  // The news of a closing comes later, when the dialog may be open again.
  const closed = () => {
    if (ref.current?.open === false) onClose();
  };
  return { ref, onClose: closed };
}
