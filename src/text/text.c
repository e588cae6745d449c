/* placeholder */ typedef int hone_text_room;
