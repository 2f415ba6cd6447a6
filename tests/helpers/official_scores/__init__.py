"""The scores of MME, POPE and VQA as their public scripts compute them, written anew from the scripts' description."""
