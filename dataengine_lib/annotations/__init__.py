"""What boxes, captions and regions of an image prove. facts and region_facts collect it, geometry compares boxes,
writers/ turn it into questions, teacher.py is the free teacher; curation/boxes checks records against the same
facts. Knows no student, no question files and no training records."""
