"""What boxes, captions and regions of an image prove. facts and region_facts hold it, writers/ turn it into
questions, teacher.py is the free teacher; curation/boxes holds records against the same facts."""
